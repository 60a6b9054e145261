import { InvalidStateError } from '../errors.js';

// The owner changes a read-only table by the methods of the built-in classes. A copy would cost as much as all rooms do.
const { set, delete: drop, clear } = Map.prototype;
const { add, delete: dropFrom } = Set.prototype;

function refuse(): never {
  throw new InvalidStateError(
    '"rooms" can only be read. Change rooms with addClientToRoom(), removeClientFromRoom() and removeClientFromAllRooms().',
  );
}

/** Its constructor is that of a plain set, so that a test of an application finds the two equal. */
class ReadOnlySet extends Set<string> {
  override add(): never {
    return refuse();
  }

  override delete(): never {
    return refuse();
  }

  override clear(): never {
    return refuse();
  }
}

/** Sets of texts by name. A set exists while it has values. Only its owner can change the table, with the functions below. */
export class ReadOnlyTable extends Map<string, Set<string>> {
  override set(): never {
    return refuse();
  }

  override delete(): never {
    return refuse();
  }

  override clear(): never {
    return refuse();
  }
}

ReadOnlySet.prototype.constructor = Set;
ReadOnlyTable.prototype.constructor = Map;

/** Adds a value to a table. For its owner. */
export function addTo(table: Map<string, Set<string>>, name: string, value: string): void {
  let values = table.get(name);
  if (!values) set.call(table, name, (values = new ReadOnlySet()));
  add.call(values, value);
}

/** Removes a value from a table. For its owner. @returns false if it wasn't there */
export function removeFrom(table: Map<string, Set<string>>, name: string, value: string): boolean {
  const values = table.get(name);
  if (!values || !dropFrom.call(values, value)) return false;
  if (values.size === 0) drop.call(table, name);
  return true;
}

/** Empties a table. For its owner. */
export function empty(table: Map<string, Set<string>>): void {
  clear.call(table);
}
