"use strict";

const $ = (id) => document.getElementById(id);

const tab = Math.random().toString(36).slice(2, 8);
const socket = new SessionSocket("/ws", { grace: 3000 });

let session = null;
let pinged = 0;
let isNew = true;
let ending = "";

const ENDINGS = {
  destroyed: [
    "You are logged out.",
    "The session was ended by this tab or another one, and the sockets of all tabs were closed in the same moment. No late message can bring it back.",
  ],
  expired: ["Your session has expired.", "Nothing came from you for as long as a session lasts."],
  replaced: ["This session is somebody else’s now.", "Someone else logged in, so this socket had to go."],
};

const UNKNOWN = [
  "There is no session any more.",
  "The server does not know the one that this page came with. It may have been started anew.",
];

/* The session, as the socket sees it */

socket.on("message", ({ session: next, changed, by, last, process }) => {
  const before = session;
  if (isNew) note("server", "The socket is connected, with the session of this page", `process ${process}`);
  isNew = false;
  session = next;
  show(before ? changed : []);
  if (!before) {
    if (session.pings) tried("reload");
    return;
  }
  if (!changed.length) return;
  const mine = by === "you" || last.tab === tab;
  if (!mine) tried("tab");
  if (by === "you") trace("socket-trace", `pong in ${since(pinged)}, stored`);
  flow(last.via === "socket" && mine ? "socket-wire" : "http-wire", "in", last.via === "http" || mine);
  flow("socket-wire", "out", by !== "you");
  note(mine ? "you" : "other", differences(before, session, changed), `over ${last.via === "http" ? "HTTP" : "the socket"}`);
});

function show(changed) {
  const { nickname = "Somebody", hue = 170, user, pings = 0, basket = {} } = session;
  $("who").textContent = user || nickname;
  $("standing").textContent = user ? `logged in, known as ${nickname} before` : "a guest, not logged in";
  $("face").textContent = (user || nickname).slice(0, 1).toUpperCase();
  document.documentElement.style.setProperty("--hue", hue);
  $("pings").textContent = pings;
  $("items").textContent = Object.values(basket).reduce((sum, n) => sum + n, 0);
  // Who is in there would have the focus nowhere when it is hidden.
  if (user && $("login").contains(document.activeElement)) $("who").focus();
  $("login").hidden = Boolean(user);
  $("logout").textContent = user ? "Log out" : "End session";
  $("view").replaceChildren(...rows(session, changed));
}

function rows(value, changed) {
  const result = [row("{")];
  const names = Object.keys(value).sort();
  names.forEach((name, index) => {
    const text = JSON.stringify(value[name], null, 2).replace(/\n/g, "\n  ");
    const line = row("  ", span("key", `"${name}"`), ": ", span("value", text), index < names.length - 1 ? "," : "");
    line.dataset.key = name;
    line.classList.toggle("changed", changed.includes(name));
    result.push(line);
  });
  result.push(row("}"));
  return result;
}

function differences(before, after, changed) {
  return changed.flatMap((name) => difference(name, before[name], after[name])).join(", ");
}

function difference(name, was, is) {
  if (is === undefined) return [`${name} removed`];
  if (isObject(is)) {
    const inner = isObject(was) ? was : {};
    return Object.keys(is)
      .filter((key) => JSON.stringify(inner[key]) !== JSON.stringify(is[key]))
      .flatMap((key) => difference(`${name}.${key}`, inner[key], is[key]));
  }
  const now = JSON.stringify(is);
  return [was === undefined ? `${name} = ${now}` : `${name} ${JSON.stringify(was)} → ${now}`];
}

/* The connection */

socket.on("connect", () => {
  state("connected", "Connected");
  if (ending) tried("login");
  isNew = true;
  ending = "";
});

socket.on("reconnecting", ({ attempt }) => {
  state("reconnecting", attempt > 1 ? `Reconnecting, try ${attempt}` : "Reconnecting");
});

socket.on("disconnect", ({ code, reason, willReconnect }) => {
  const why = `${code} ${reason}`.trim();
  if (code === 4307) {
    tried("login");
    note("server", "The session has a new id; the socket follows", why);
  } else if (code === 4401) {
    // Or somebody logged in, over another process: the next try will tell.
    ending = reason.replace("session-", "");
    note("server", "The session has ended, or has a new id", why);
  } else {
    note("server", willReconnect ? "The connection is lost" : "The server closed the socket", why);
  }
  if (!willReconnect && code !== 4401) state("closed", `Closed: ${why}`, why);
});

socket.on("sinvalid", (reason) => end(ending || reason));

socket.on("identity", ({ was, is }) => {
  if (was === null && is !== null) return; // A login, which the socket followed.
  socket.close();
  end(is === null ? ending || "destroyed" : "replaced");
});

function end(reason) {
  const why = `4401 session-${reason}`;
  const [title, text] = ENDINGS[reason] || UNKNOWN;
  if (reason === "destroyed") tried("logout");
  state("closed", `Closed: ${why}`, why);
  note("server", "The server closed the socket", why);
  $("ended-title").textContent = title;
  $("ended-text").textContent = text;
  $("ended-code").textContent = why;
  $("ended").hidden = false;
  document.body.classList.add("over");
  for (const control of document.querySelectorAll(".bench button, .bench input")) control.disabled = true;
  $("ended").scrollIntoView({ block: "nearest" });
  $("ended").focus({ preventScroll: true });
}

function state(name, text, why) {
  const pill = $("status");
  pill.dataset.state = name;
  pill.dataset.why = why || "";
  pill.textContent = text;
  for (const wire of ["http-wire", "socket-wire"]) $(wire).classList.toggle("cut", name === "closed");
  $("socket-wire").classList.toggle("cut", name !== "connected");
}

/* What one can do */

$("ping").addEventListener("click", () => {
  pinged = performance.now();
  const away = !socket.connected;
  if (!socket.send({ type: "ping", tab })) trace("socket-trace", "not sent: too many are waiting");
  else if (away) trace("socket-trace", "kept until the connection is back");
  else flow("socket-wire", "in", true);
});

$("add").addEventListener("click", () => post("/add"));
$("logout").addEventListener("click", () => post("/logout"));
$("again").addEventListener("click", () => location.reload());
$("login").addEventListener("submit", (event) => {
  event.preventDefault();
  post("/login", { name: $("name").value }).then(() => event.target.reset());
});

async function post(path, body) {
  const began = performance.now();
  flow("http-wire", "in", true);
  try {
    const { status } = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Demo-Tab": tab },
      body: JSON.stringify(body || {}),
    });
    trace("http-trace", `POST ${path}, ${status} in ${since(began)}`);
  } catch (error) {
    trace("http-trace", `POST ${path}, no answer`);
  }
}

/* Small things */

function note(by, what, how) {
  const item = document.createElement("li");
  const who = document.createElement("b");
  const time = document.createElement("small");
  item.dataset.by = by;
  who.textContent = { you: "This tab", other: "Elsewhere", server: "Server" }[by];
  time.textContent = how || "";
  item.append(who, span("", what), time);
  $("feed").prepend(item);
  while ($("feed").children.length > 40) $("feed").lastChild.remove();
}

function tried(what) {
  sessionStorage.setItem(what, "done");
  mark();
}

function mark() {
  for (const item of document.querySelectorAll("[data-try]"))
    item.classList.toggle("done", sessionStorage.getItem(item.dataset.try) === "done");
}

function flow(id, direction, really) {
  if (!really) return;
  const wire = $(id);
  wire.classList.remove("in", "out");
  void wire.offsetWidth; // Starts the animation over.
  wire.classList.add(direction);
}

function trace(id, text) {
  $(id).textContent = text;
}

function since(began) {
  return `${Math.max(1, Math.round(performance.now() - began))} ms`;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function row(...content) {
  const line = document.createElement("div");
  line.append(...content);
  return line;
}

function span(kind, text) {
  const element = document.createElement("span");
  element.className = kind;
  element.textContent = text;
  return element;
}

mark();
