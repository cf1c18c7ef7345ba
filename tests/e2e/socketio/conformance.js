/*
 * The server that the protocols' suites want, by the official one, to compare with:
 *
 *     node tests/e2e/socketio/conformance.js 3000
 *     python -m tests.real.socketio.protocol http://127.0.0.1:3000
 */
"use strict";

const { createServer } = require("http");
const { Server } = require("socket.io");

const http = createServer();
const io = new Server(http, {
  pingInterval: 300,
  pingTimeout: 200,
  maxHttpBufferSize: 1e6,
  connectTimeout: 1000,
});

const connected = (socket) => {
  socket.emit("auth", socket.handshake.auth);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("message-with-ack", (...args) => args.pop()(...args));
  socket.on("ask", (...args) =>
    socket.emit("question", ...args, (...answer) => socket.emit("answered", ...answer))
  );
};

io.on("connection", connected);
io.of("/custom").on("connection", connected);
http.listen(Number(process.argv[2]), "127.0.0.1");
