/** Lets one at a time wait until something is so. Once it has failed, whoever waits, waits in vain. */
export class Gate {
  #wake: () => void = () => undefined;
  #failure: { reason: unknown } | undefined;

  /** Something has changed: look again. */
  wake(): void {
    this.#wake();
  }

  /** The first reason stays. */
  fail(reason: unknown): void {
    this.#failure ??= { reason };
    this.#wake();
  }

  /** Rejects with the reason of the failure. */
  async until(isSo: () => boolean): Promise<void> {
    while (this.#failure === undefined && !isSo()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#failure !== undefined) throw this.#failure.reason;
  }
}
