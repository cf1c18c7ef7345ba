/**
 * Types of `sessionsock.js`; what all of it does is in `docs/browser.md`.
 *
 * `SessionSocket` is a global where the script is one, and a module of CommonJS.
 * `SessionSocket<In, Out>` says what comes and what is sent.
 */
declare class SessionSocket<In = unknown, Out = unknown> {
  constructor(url: string | URL, options?: SessionSocket.Options);

  /** The absolute address. */
  url: string;

  /** Whether a message sent now leaves now. */
  readonly connected: boolean;

  /** The subprotocol that the server chose, `""` for none. */
  readonly protocol: string;

  on<E extends keyof SessionSocket.Events<In, Out>>(
    event: E,
    f: SessionSocket.Events<In, Out>[E],
  ): this;

  off<E extends keyof SessionSocket.Events<In, Out>>(
    event: E,
    f: SessionSocket.Events<In, Out>[E],
  ): this;

  /** Whether it left, is kept for later, or was refused. */
  send(value: Out): "sent" | "queued" | false;

  /** Disconnect for good. */
  close(code?: number, reason?: string): void;
}

declare namespace SessionSocket {
  /** A message where `messages` is `"raw"`, as it comes. */
  type Raw = string | ArrayBuffer;

  /** The same, as it can be sent. */
  type RawSent = string | ArrayBuffer | ArrayBufferView | Blob;

  /** All times are in milliseconds. */
  interface Options {
    minDelay?: number;
    maxDelay?: number;
    grace?: number;
    queue?: number;
    heartbeat?: number;
    patience?: number;
    messages?: "json" | "raw";
    protocols?: string | string[];
    sid?: string | (() => string);
    /** Where to get a ticket before each try: `"/sessionsock/ticket"`. */
    ticket?: string | URL;
  }

  interface Disconnection<Out = unknown> {
    code: number;
    reason: string;
    willReconnect: boolean;
    /** What was sent and may not have arrived, where the server can tell. */
    unconfirmed?: Out[];
  }

  interface Reconnection {
    attempt: number;
    delay: number;
  }

  /** Digests, to compare with each other; `null` is nobody. */
  interface Identity<Out = unknown> {
    was: string | null;
    is: string | null;
    /** What was kept for who it was, and is not sent. */
    dropped: Out[];
  }

  interface Events<In = unknown, Out = unknown> {
    connect: () => void;
    message: (value: In) => void;
    identity: (change: Identity<Out>) => void;
    disconnect: (details: Disconnection<Out>) => void;
    reconnecting: (details: Reconnection) => void;
    sinvalid: (reason: string) => void;
  }
}

export = SessionSocket;
export as namespace SessionSocket;
