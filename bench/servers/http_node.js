// HTTP by Node:  node http_node.js PORT
const http = require('node:http');
const body = Buffer.from('Hello, world!');
const headers = { 'Content-Type': 'text/plain', 'Content-Length': body.length };

const server = http.createServer((request, response) => {
  response.writeHead(200, headers);
  response.end(body);
});
server.keepAliveTimeout = 3600 * 1000;
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
