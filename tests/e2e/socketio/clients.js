/**
 * Official clients of Socket.IO, which do as they are told:
 *
 *     node clients.js
 *
 * A line of standard input is a command, as JSON: {"call": 1, "do": "open",
 * "socket": "a", ...}.  A line of standard output is its answer, {"call": 1,
 * "value": ...} or {"call": 1, "error": ...}, or what happened to a client:
 * {"socket": "a", "what": "connect", "details": [...]}.  Bytes are {"$bytes": base64}.
 */
"use strict";

const readline = require("node:readline");

const { io } = require("socket.io-client");
const oldIO = require("socket.io-client-2");
const msgpack = require("socket.io-msgpack-parser");

const POLLING = { transports: ["polling"] };
const WEBSOCKET = { transports: ["websocket"] };

const KINDS = {
  websocket: [io, WEBSOCKET],
  polling: [io, POLLING],
  upgrade: [io, { transports: ["polling", "websocket"] }],
  "msgpack-websocket": [io, { ...WEBSOCKET, parser: msgpack }],
  "msgpack-polling": [io, { ...POLLING, parser: msgpack }],
  "old-websocket": [oldIO, WEBSOCKET],
  "old-polling": [oldIO, POLLING],
};

const sockets = new Map();

function toJSON(value) {
  if (value instanceof ArrayBuffer) return { $bytes: Buffer.from(value).toString("base64") };
  if (ArrayBuffer.isView(value)) {
    return { $bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") };
  }
  if (Array.isArray(value)) return value.map(toJSON);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, toJSON(each)]));
}

function fromJSON(value) {
  if (Array.isArray(value)) return value.map(fromJSON);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$bytes === "string") return Buffer.from(value.$bytes, "base64");
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, fromJSON(each)]));
}

function say(line) {
  process.stdout.write(`${JSON.stringify(toJSON(line))}\n`);
}

function asFunction(auth) {
  let times = 0;
  return (give) => setImmediate(() => give({ ...auth, times: ++times }));
}

function watch(name, socket) {
  const tell = (what, ...details) => say({ socket: name, what, details });
  let engine;
  const watchEngine = () => {
    if (engine === socket.io.engine) return;
    engine = socket.io.engine;
    engine.on("upgrade", (transport) => tell("upgrade", transport.name));
  };
  socket.on("connect", () => {
    watchEngine();
    tell("connect", socket.id, socket.io.engine.transport.name, socket.recovered);
  });
  socket.on("disconnect", (reason) => tell("disconnect", reason));
  socket.on("connect_error", (error) => tell("connect_error", error.message, error.data));
  socket.io.on("open", watchEngine);
  socket.io.on("ping", () => tell("ping"));
  socket.io.on("reconnect_attempt", (times) => tell("reconnect_attempt", times));
  if (!socket.onAny) return;
  socket.onAny((...args) => {
    const acknowledge = typeof args.at(-1) === "function" ? args.pop() : null;
    tell("event", ...args);
    if (acknowledge && socket.answers) acknowledge(...args.slice(1));
  });
}

/* When it connects, and when it changes its transport. */
function burstTwice(socket, { event, times }) {
  let n = 0;
  const burst = () => {
    socket.emit("count", times);
    for (const end = n + times; n < end; n += 1) socket.emit(event, n);
  };
  socket.io.once("open", () => socket.io.engine.once("upgrading", burst));
  socket.once("connect", burst);
}

const COMMANDS = {
  /* With the connection of another client, if that is named. */
  open({ socket: name, url, namespace = "/", kind, auth, isAuthFunction, headers = {}, options = {}, beside, burst, first }) {
    const [connect, ofKind] = KINDS[kind];
    const given = isAuthFunction ? asFunction(auth) : auth;
    const all = { forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 40, ...ofKind };
    const socket = beside
      ? sockets.get(beside).io.socket(namespace, { auth: given })
      : connect(url + namespace, { ...all, auth: given, extraHeaders: headers, ...options });
    socket.answers = true;
    sockets.set(name, socket);
    watch(name, socket);
    if (burst) burstTwice(socket, burst);
    if (first) socket.on("connect", () => socket.emit(...first));
  },
  emit({ socket, args, isVolatile }) {
    (isVolatile ? socket.volatile : socket).emit(...args);
  },
  emitMany({ socket, event, times }) {
    for (let n = 0; n < times; n += 1) socket.emit(event, n);
  },
  ask({ socket, args, timeout }) {
    return new Promise((resolve, reject) => {
      socket.timeout(timeout).emit(...args, (error, ...values) => (error ? reject(error) : resolve(values)));
    });
  },
  /* All at once. */
  askMany({ socket, args, times, timeout }) {
    return Promise.all(Array.from({ length: times }, () => socket.timeout(timeout).emitWithAck(...args)));
  },
  /* One event after the other, each when the one before is answered; "$n" in it is its number. */
  traffic({ socket, events, timeout }) {
    const going = { isOver: false, sent: 0, acked: [] };
    const next = async () => {
      const text = JSON.stringify(events[going.sent % events.length]);
      const n = going.sent++;
      try {
        await socket.timeout(timeout).emitWithAck(...JSON.parse(text.replaceAll('"$n"', n)));
        going.acked.push(n);
      } catch {
        /* Not known whether it was handled. */
      }
    };
    going.done = (async () => {
      while (!going.isOver) await next();
    })();
    socket.traffic = going;
  },
  acked({ socket }) {
    return socket.traffic.acked.length;
  },
  async stopTraffic({ socket }) {
    const { traffic } = socket;
    traffic.isOver = true;
    await traffic.done;
    return { sent: traffic.sent, acked: traffic.acked };
  },
  /* What is said of it when it connects again. */
  change({ socket, auth, headers }) {
    if (auth !== undefined) socket.auth = auth;
    if (headers !== undefined) socket.io.opts.extraHeaders = headers;
  },
  connect({ socket }) {
    socket.connect();
  },
  disconnect({ socket }) {
    socket.disconnect();
  },
  /* As when the network fails. */
  drop({ socket }) {
    socket.io.engine.close();
  },
  /* What is no packet of Socket.IO. */
  babble({ socket, text }) {
    socket.io.engine.write(text);
  },
  /* Answer no calls. */
  ignore({ socket }) {
    socket.answers = false;
  },
  state({ socket }) {
    const { id, connected, active, recovered, io: manager } = socket;
    const { id: engine, transport } = manager.engine;
    return { id, connected, active, recovered, engine, transport: transport.name };
  },
  /* All of them, until the servers may know it. */
  forget() {
    const engines = new Set();
    for (const socket of sockets.values()) {
      socket.io.reconnection(false);
      socket.disconnect();
      engines.add(socket.io.engine);
    }
    sockets.clear();
    const open = [...engines].filter((engine) => engine && engine.readyState !== "closed");
    return Promise.all(open.map((engine) => new Promise((resolve) => engine.once("close", () => resolve()))));
  },
};

async function obey(line) {
  const { call, do: verb, ...command } = fromJSON(JSON.parse(line));
  try {
    const socket = verb === "open" ? command.socket : sockets.get(command.socket);
    const value = await COMMANDS[verb]({ ...command, socket });
    say({ call, value: value ?? null });
  } catch (error) {
    say({ call, error: String(error) });
  }
}

readline.createInterface({ input: process.stdin }).on("line", obey).on("close", () => process.exit());
