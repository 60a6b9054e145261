/**
 * The type of a route's data. `Events` maps routes, written `type/action`, to the data that the server sends: `{ 'chat/said':
 * { text: string } }`. For other routes the type is `Else`.
 */
export type DataOf<
  Events extends object,
  Type extends string,
  Action extends string,
  Else,
> = `${Type}/${Action}` extends keyof Events ? Events[`${Type}/${Action}`] : Else;
