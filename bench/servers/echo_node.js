// Echo over Node:  node echo_node.js PORT [SECONDS]   SECONDS: an idle timeout on each socket.
const net = require('node:net');
const [port, seconds] = process.argv.slice(2).map(Number);

const server = net.createServer({ noDelay: true }, (socket) => {
  if (seconds) socket.setTimeout(seconds * 1000, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (data) => {
    if (!socket.write(data)) socket.pause();
  });
  socket.on('drain', () => socket.resume());
});
server.listen({ port, host: '127.0.0.1', backlog: 4096 });
