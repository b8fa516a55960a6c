// Every way in which a record cannot be read, typed by `code`. Texts are constants: input never reaches a message.

/** `code`: tampered, contract_violation, replay_limit (never readable) or key_not_yet_known (load keys, try again). */
export class ReadError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'ReadError';
    this.code = code;
  }

  /** True if the same record may open later. */
  get isTransient() {
    return this.code === 'key_not_yet_known';
  }
}

export const tampered = (message) => new ReadError('tampered', message);
export const violation = (message) => new ReadError('contract_violation', message);
