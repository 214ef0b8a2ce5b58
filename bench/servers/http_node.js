// HTTP by Node:  node http_node.js PORT   (both applications)
const fs = require('node:fs');
const http = require('node:http');
const hello = Buffer.from('Hello, world!');
const records = [...Array(22).keys()].map((id) => (
  { id, name: `record ${String(id).padStart(5, '0')}`, is_new: true }));

function reply(response, kind, content) {
  response.writeHead(200, { 'Content-Type': kind, 'Content-Length': Buffer.byteLength(content) });
  response.end(content);
}

function sendFile(response, name) {
  const size = fs.statSync(name).size;
  response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': size });
  fs.createReadStream(name).pipe(response);
}

const server = http.createServer((request, response) => {
  if (request.method === 'POST') {
    let bytes = 0;
    request.on('data', (data) => { bytes += data.length; });
    request.on('end', () => reply(response, 'text/plain', String(bytes)));
  } else if (request.url === '/json') {
    reply(response, 'application/json', JSON.stringify({ page: 1, records }));
  } else if (request.url === '/') {
    reply(response, 'text/plain', hello);
  } else {
    sendFile(response, process.env.HTTP_FILES + request.url);
  }
});
server.keepAliveTimeout = 3600 * 1000;
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
