/**
 * ws with express-session and connect-redis, as the example "express-session-parse" of ws
 * has it: a counter in the session.
 *
 *     node ws.js connection URL-OF-REDIS     # or "message"
 *
 * Per connection, the session is as it was when the socket connected, and stored when it
 * closes.  Per message, it is read anew, and stored before the answer leaves.
 */
"use strict";

const http = require("node:http");

const { RedisStore } = require("connect-redis");
const express = require("express");
const session = require("express-session");
const { createClient } = require("redis");
const { WebSocketServer } = require("ws");

const [mode, url] = process.argv.slice(2);

const text = (count) => String(count).padStart(10, "0");

function perConnection(socket, request) {
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    message.n = text(++request.session.pings);
    socket.send(JSON.stringify(message));
  });
  socket.on("close", () => request.session.save());
}

function perMessage(socket, request) {
  socket.on("message", (data) => {
    const message = JSON.parse(data);
    request.session.reload((error) => {
      if (error) return socket.close(1011);
      message.n = text(++request.session.pings);
      request.session.save((failed) => {
        if (failed) return socket.close(1011);
        socket.send(JSON.stringify(message));
      });
    });
  });
}

async function main() {
  const client = createClient({ url });
  await client.connect();
  const sessions = session({
    store: new RedisStore({ client }),
    secret: "a secret",
    resave: false,
    saveUninitialized: false,
  });
  const app = express();
  app.use(sessions);
  const server = http.createServer(app);
  const sockets = new WebSocketServer({ noServer: true });
  sockets.on("connection", mode === "message" ? perMessage : perConnection);
  server.on("upgrade", (request, socket, head) => {
    sessions(request, {}, () => {
      if (request.session?.pings === undefined) {
        return socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
      }
      sockets.handleUpgrade(request, socket, head, (ws) => sockets.emit("connection", ws, request));
    });
  });
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, () => console.log(server.address().port));
}

main();
