/** Events that cross the bus. Every node's `subscriberEventHandler` and `@WsSubscribe()` methods receive them. */
export enum WebSocketRedisSubscriberEvent {
  ClientConnected = 'WebSocket:ClientConnected',
  ClientDisconnected = 'WebSocket:ClientDisconnected',
  ClientJoinedRoom = 'WebSocket:ClientJoinedRoom',
  ClientLeftRoom = 'WebSocket:ClientLeftRoom',
  UserJoined = 'WebSocket:UserJoined',
  UserLeft = 'WebSocket:UserLeft',
  DisconnectClient = 'WebSocket:DisconnectClient',
  DisconnectUser = 'WebSocket:DisconnectUser',
  SendMessage = 'WebSocket:SendMessage',
  SendMessageToAll = 'WebSocket:SendMessageToAll',
  MessageError = 'WebSocket:MessageError',
  QueueJobCompleted = 'WebSocket:QueueJobCompleted',
  QueueJobError = 'WebSocket:QueueJobError',
  Custom = 'WebSocket:Custom',
}
