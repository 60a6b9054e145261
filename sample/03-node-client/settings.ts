/** From the environment, so that one build runs anywhere. */
export const settings = {
  url: process.env['CHAT_URL'] ?? 'ws://127.0.0.1:3000/ws',
  roomName: process.env['CHAT_ROOM'] ?? 'lobby',
  username: process.env['BOT_NAME'] ?? 'Dicey',
};
