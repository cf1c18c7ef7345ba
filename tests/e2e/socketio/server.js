/**
 * The official server of Socket.IO, which does what tests/e2e/socketio/chat.py does:
 *
 *     node server.js [INTERVAL-OF-PINGS TIMEOUT]
 *
 * Everybody has a session who has a signed cookie, or signed `auth`; it is kept here.
 */
"use strict";

const { createHmac } = require("node:crypto");
const http = require("node:http");

const { Server } = require("socket.io");
const msgpack = require("socket.io-msgpack-parser");

const SECRET = "for tests";

const [pingInterval = 25000, pingTimeout = 20000] = process.argv.slice(2).map(Number);

const sessions = new Map();

function sign(id) {
  return createHmac("sha256", SECRET).update(id).digest("base64").replace(/=+$/, "");
}

/* As express-session does it. */
function sessionOf({ headers, auth }) {
  const cookie = /(?:^|; )connect\.sid=([^;]*)/.exec(headers.cookie ?? "")?.[1];
  if (!(auth.__sid ?? cookie)) throw refusal("missing");
  const value = decodeURIComponent(auth.__sid ?? cookie);
  const id = value.slice(2, value.lastIndexOf("."));
  if (value !== `s:${id}.${sign(id)}`) throw refusal("bad-signature");
  if (!sessions.has(id)) sessions.set(id, {});
  return sessions.get(id);
}

function refusal(reason) {
  return Object.assign(new Error("sinvalid"), { data: { reason } });
}

function authenticate(socket, next) {
  try {
    socket.data.session = sessionOf(socket.handshake);
    next();
  } catch (error) {
    next(error);
  }
}

function chat(io, namespace) {
  return (socket) => {
    const { session } = socket.data;
    const told = (...happening) => io.to("observers").emit("happened", ...happening);
    const taken = [];
    const ack = (...args) => args.at(-1)(...args.slice(0, -1));
    const verbs = {
      add: (key, done) => done((session[key] = (session[key] ?? 0) + 1)),
      get: (key, done) => done(session[key] ?? null),
      where: (done) => done(namespace),
      echo: (...args) => socket.emit("echo", ...args),
      plain: ack,
      coroutine: async (...args) => ack(...args),
      deferred: (...args) => setImmediate(ack, ...args),
      question: async (...args) => socket.emit("answered", await socket.emitWithAck("ask", ...args)),
      count: (times) => {
        for (let n = 0; n < times; n += 1) socket.emit("n", n);
      },
      take: (n) => taken.push(n),
      taken: (done) => done(taken),
      leave: () => socket.disconnect(),
      leaveAll: () => socket.disconnect(true),
      close: () => socket.conn.close(),
      join: (...args) => {
        const done = args.pop();
        socket.join(args);
        done();
      },
      part: (room, done) => {
        socket.leave(room);
        done();
      },
      rooms: (done) => done([...socket.rooms].filter((room) => room !== socket.id).sort()),
      tell: ({ from, to, but, isVolatile, event }) => {
        let group = from === "socket" ? socket.broadcast : io.of(namespace);
        if (to.length) group = group.to(to);
        if (but.length) group = group.except(but);
        (isVolatile ? group.volatile : group).emit(...event);
      },
    };
    for (const [event, listener] of Object.entries(verbs)) socket.on(event, listener);
    socket.on("disconnect", (reason) => {
      session.left = reason;
      told("gone", socket.id, reason);
    });
    told("come", socket.id, namespace);
  };
}

/* A server has one parser. */
function serve(parser) {
  const server = http.createServer();
  const io = new Server(server, { serveClient: false, pingInterval, pingTimeout, parser });
  for (const name of ["/", "/other"]) io.of(name).use(authenticate).on("connection", chat(io, name));
  server.listen(0, "127.0.0.1", () => console.log(`${parser ? "msgpack" : "text"} ${server.address().port}`));
}

serve(undefined);
serve(msgpack);
