/** What every process of this sample has to agree on. */
export const settings = {
  redisUrl: process.env['REDIS_URL'] ?? '',
  prefix: 'pxl-cluster-sample',
  /** In the processes that serve the chat: A, B or C. */
  nodeName: process.env['NODE_NAME'] ?? '',
};
