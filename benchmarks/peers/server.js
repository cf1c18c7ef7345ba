/**
 * Socket.IO on Node, which counts events as benchmarks/socketioserver.py does:
 *
 *     node server.js MODE [URL-OF-REDIS]
 *
 * MODE is "none": counts in a variable of the socket; "connection": in the session of
 * express-session as it was when the socket connected, and acknowledges when that is
 * stored; "message": the same, and reads the session anew for each event, as Socket.IO's
 * documentation advises, one event after the other, or counts would be lost.
 *
 * It prints where it listens.  POST /new makes a session, GET /n says its count, and
 * POST /say has all sockets get an event.
 */
"use strict";

const http = require("node:http");

const { RedisStore } = require("connect-redis");
const express = require("express");
const session = require("express-session");
const { createClient } = require("redis");
const { Server } = require("socket.io");

const [mode, redis] = process.argv.slice(2);

const text = (count) => String(count).padStart(10, "0");

function counting(socket) {
  let count = 0;
  socket.on("add", (padding, ack) => ack(text(++count)));
}

function countingInSession(socket) {
  const { request } = socket;
  socket.on("add", (padding, ack) => {
    const count = ++request.session.n;
    request.session.save((error) => (error ? socket.disconnect(true) : ack(text(count))));
  });
}

function countingInFreshSession(socket) {
  const { request } = socket;
  let last = Promise.resolve();
  const add = (ack) =>
    new Promise((resolve) => {
      const end = (error, count) => {
        error ? socket.disconnect(true) : ack(text(count));
        resolve();
      };
      request.session.reload((error) => {
        if (error) return end(error);
        const count = ++request.session.n;
        request.session.save((failed) => end(failed, count));
      });
    });
  socket.on("add", (padding, ack) => {
    last = last.then(() => add(ack));
  });
}

async function main() {
  const app = express();
  const server = http.createServer(app);
  const io = new Server(server);
  if (mode !== "none") {
    let store;
    if (redis) {
      const client = createClient({ url: redis });
      await client.connect();
      store = new RedisStore({ client });
    }
    const sessions = session({ store, secret: "a secret", resave: false, saveUninitialized: false });
    app.use(sessions);
    io.engine.use(sessions);
    io.use((socket, next) => next(socket.request.session.n === undefined ? new Error("sinvalid") : undefined));
  }
  app.post("/new", (req, res) => {
    if (req.session) req.session.n = 0;
    res.end();
  });
  app.get("/n", (req, res) => res.end(String(req.session.n)));
  app.post("/say", (req, res) => {
    io.emit("news", "x".repeat(100));
    res.end();
  });
  io.on("connection", { none: counting, connection: countingInSession, message: countingInFreshSession }[mode]);
  server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, () => console.log(server.address().port));
}

main();
