// Workers that can reach nobody: a worker made from a blob inherits the page's Content-Security-Policy, one made from an
// address of its own does not. Once loaded, they need no network, so they lose it altogether.

/**
 * Starts a worker.
 * @param {string} script its address
 * @returns {Promise<{ask: (message: object, transfer?: Transferable[]) => Promise<any>, end: () => void}>}
 */
export async function startWorker(script) {
  const response = await fetch(script);
  if (!response.ok) throw new Error(`${script}: ${response.status} ${response.statusText}`);
  const address = URL.createObjectURL(new Blob([await response.text()], { type: "text/javascript" }));
  const worker = new Worker(address);
  const waiting = new Map();
  let number = 0;
  const fail = (message) => {
    for (const { reject } of waiting.values()) reject(new Error(message));
    waiting.clear();
  };
  worker.onerror = (event) => fail(event.message || `${script} could not run`);
  worker.onmessage = ({ data: { id, result, error } }) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) asked?.resolve(result);
    else asked?.reject(new Error(error));
  };
  return {
    ask(message, transfer = []) {
      return new Promise((resolve, reject) => {
        waiting.set(++number, { resolve, reject });
        worker.postMessage({ id: number, ...message }, transfer);
      });
    },
    end() {
      worker.terminate();
      URL.revokeObjectURL(address);
      fail("ended");
    },
  };
}
