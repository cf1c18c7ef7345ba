"use strict";

/* What gives the page its socket. */

// Here the sockets are at the port beside that of the page.  Behind one server
// it would be <script src="/sessionsock.js"> and new SessionSocket("/ws").
const beside = `${location.protocol}//${location.hostname}:${Number(location.port) + 1}`;

let socket = null;

function connect() {
  state("connecting", "Connecting");
  $("over-code").textContent = "";
  socket = new SessionSocket(`${beside}/ws`);
  socket.on("connect", () => state("connected", "Connected"));
  socket.on("reconnecting", () => state("connecting", "Reconnecting"));
  socket.on("message", ({ who, basket, changed, readOnly }) => {
    shop.note("socket", JSON.stringify({ who, basket }), changed.length ? `${changed} changed` : "connected");
    shop.show({ basket });
    $("known").textContent = ` · the socket says ${who}`;
    allow(readOnly);
  });
  socket.on("disconnect", ({ code, reason }) => {
    shop.note("socket", "closed", `${code} ${reason}`);
    if (code !== 4401 && code !== 4307) return;
    // A logout, or a login under a new id: the application knows.
    $("over-code").textContent = `${code} ${reason}`;
    shop.refresh();
  });
  // Somebody else is logged in, or nobody: the application knows.
  socket.on("identity", () => shop.refresh());
  socket.on("sinvalid", (reason) => {
    state("closed", `No session: ${reason}`);
    shop.refresh();
  });
}

function disconnect() {
  if (socket) socket.close();
  socket = null;
  state("away", "No socket");
  $("known").textContent = "";
  allow(true);
}

function answered(method, before) {
  const isInCookie = !$("read-only").hidden;
  if (!shop.user) {
    disconnect();
    if (before) loggedOut();
  } else if (!socket) connect();
  else if (isInCookie && method === "POST") renew();
  if (isInCookie && method === "POST") tabs.postMessage("the cookie is new");
}

const byRequest = shop.add;
shop.add = (good) => {
  if (!$("by-socket").checked) return byRequest(good);
  socket.send({ add: good });
  shop.note("socket", JSON.stringify({ add: good }), "sent");
};

function loggedOut() {
  $("over-text").textContent = shop.isLeaving
    ? "Every other tab that has this page knows it already."
    : "That was in another tab, and this one was told at once.";
  $("over-code").hidden = shop.isLeaving || !$("over-code").textContent;
  $("over").hidden = false;
  $("over").focus({ preventScroll: true });
}

/* A session in a cookie: a socket has what was there when it was opened. */

const tabs = new BroadcastChannel("shop");
tabs.onmessage = async () => {
  await shop.refresh();
  if (socket) renew();
};

function renew() {
  socket.close();
  connect();
}

/* Small things */

function allow(readOnly) {
  $("read-only").hidden = !(readOnly && socket);
  $("by-socket").disabled = readOnly;
  if (readOnly) $("by-request").checked = true;
}

function state(name, text) {
  $("status").dataset.state = name;
  $("status").textContent = text;
}

const script = document.createElement("script");
script.src = `${beside}/sessionsock.js`;
script.onload = () => {
  shop.answered = answered;
  if (shop.user) connect();
};
script.onerror = () => state("closed", "The sockets are not running");
document.head.append(script);
