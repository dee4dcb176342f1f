/**
 * What we use of node:http. Importing a built-in module reads all of its names, and reading this one's WebSocket loads an HTTP client,
 * HTTP/2, TLS and compression: 15 MiB of an idle process, none of it used here. Asked for in this way, it stays unread.
 */
export const { createServer, request: httpRequest } = process.getBuiltinModule('node:http');
