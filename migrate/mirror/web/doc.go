// Package web shows a mirror over HTTP, to machines and to people, and takes the
// notifications of registries.
//
//	GET  /              the page
//	GET  /status        mirror.Status as JSON
//	GET  /history       two hours of rates and lag as JSON; ?after=SECONDS since 1970 for what is newer
//	GET  /events/stream the status as server-sent events, one a second
//	POST /events        notifications: see package hint
//	GET  /healthz       200, or 503 with one line: a round is overdue
//	GET  /livez         200, or 503 with one line: a round hangs, and the process has to be started again
//	GET  /readyz        200, or 503 with one line: what is being waited for
//	GET  /metrics       for Prometheus: see package meter
//	GET  /debug/pprof/  by option only
//
// # Notifications
//
// 202: what they name is queued, or, where there was no room, left to the next
// round. 200: nothing in them changes the storage. Else one line says what is
// wrong: 400 the body, 401 the token, 413 more than 1 MiB or 10,000 events, 415
// the Content-Type. A full queue is never an error: a registry would send that
// notification for ever, and those that come after it would wait.
//
// Where others than this machine reach the address and no token is given, /events
// answers 403 with the reason, unless the option OpenEvents says that this is
// meant. A hint can only make the mirror look at a repository sooner, but whoever
// may send them can keep it busy. To answer 404 was rejected, since then nobody
// finds out why.
//
// # Decisions
//
// Everything else is open to whoever reaches the address: it holds no secret, but
// it does hold names of repositories. The address is loopback unless the operator
// says otherwise; who may reach another one is for a NetworkPolicy or a proxy.
//
// A page of somebody else, open in the browser of an operator, must not read it
// by a name that DNS was made to answer with 127.0.0.1. So a server on loopback
// answers only to localhost and to addresses. One on another address may be
// called by any name, and cannot tell.
//
// A stream sends everything at first and when one of the lists changes, and
// otherwise the status without them, less than 1 KiB, so that a phone can watch
// for a day. An event each second is the heartbeat too; the page calls itself
// disconnected after five without one. WebSockets were rejected: nothing goes
// the other way, and EventSource comes back by itself.
//
// The page has nothing inline and makes nodes of text only, so the policy of its
// content allows no script but its own files, and a name from a store stays a
// name.
//
// A token or a certificate is read again when its file changes. If the new one
// cannot be used, the old one stays and that is logged once: half a rotation must
// not cut off the registries.
//
// # Bounds
//
// 64 streams; one look at the Source each 300 ms, whoever asks; 720 samples of 32
// bytes a pair; 64 KiB of headers, 1 MiB of body; 10 s for the headers of a
// request, 30 s for all of it; 4 scrapes at once.
package web
