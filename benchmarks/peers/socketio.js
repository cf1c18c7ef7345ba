/**
 * Socket.IO on Node with express-session and connect-redis, as its documentation has it:
 * acknowledged events that count in the session.
 *
 *     node socketio.js connection URL-OF-REDIS     # or "message"
 *
 * Per connection, the session is as it was when the socket connected, and stored when it
 * closes.  Per message, it is read anew, and stored before the event is acknowledged.
 */
"use strict";

const http = require("node:http");

const { RedisStore } = require("connect-redis");
const express = require("express");
const session = require("express-session");
const { createClient } = require("redis");
const { Server } = require("socket.io");

const [mode, url] = process.argv.slice(2);

const text = (count) => String(count).padStart(10, "0");

function perConnection(socket) {
  const { request } = socket;
  socket.on("add", (padding, ack) => ack(text(++request.session.pings)));
  socket.on("disconnect", () => request.session.save());
}

function perMessage(socket) {
  const { request } = socket;
  socket.on("add", (padding, ack) => {
    request.session.reload((error) => {
      if (error) return socket.disconnect(true);
      const count = ++request.session.pings;
      request.session.save((failed) => (failed ? socket.disconnect(true) : ack(text(count))));
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
  const io = new Server(server);
  io.engine.use(sessions);
  io.use((socket, next) => next(socket.request.session.pings === undefined ? new Error("401") : undefined));
  io.on("connection", mode === "message" ? perMessage : perConnection);
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, () => console.log(server.address().port));
}

main();
