/*
 * The server that the protocols' suites want, by the official one, to compare with:
 *
 *     node tests/e2e/socketio/conformance.js 3000
 *     python -m tests.real.socketio.protocol http://localhost:3000
 */
"use strict";

const { Server } = require("socket.io");

const io = new Server(Number(process.argv[2]), {
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
