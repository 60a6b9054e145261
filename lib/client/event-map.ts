/**
 * The type of a route's data. `Events` maps routes, written `type/action`, to what the server sends:
 * `{ 'chat/said': { text: string } }`. Of a route that it doesn't have, the type is `Else`.
 */
export type DataOf<
  Events extends object,
  Type extends string,
  Action extends string,
  Else,
> = `${Type}/${Action}` extends keyof Events ? Events[`${Type}/${Action}`] : Else;
