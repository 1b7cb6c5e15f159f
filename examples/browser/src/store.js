// What was taught, in the page's own storage (IndexedDB): it stays on this device, and is gone once deleted.

const NAME = "sigma-live", STORE = "clips";

function asPromise(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function opened() {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "sampleId" });
  return asPromise(request);
}

async function withStore(mode, work) {
  const database = await opened();
  try {
    const transaction = database.transaction(STORE, mode);
    const done = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
    const result = await work(transaction.objectStore(STORE));
    await done;
    return result;
  } finally {
    database.close();
  }
}

/** The clips that were taught with a model, in the order in which they were. */
export async function taughtClips(fingerprint) {
  const clips = await withStore("readonly", (store) => asPromise(store.getAll()));
  return clips.filter((clip) => clip.fingerprint === fingerprint).sort((one, other) => one.taughtAt - other.taughtAt);
}

export const addClip = (clip) => withStore("readwrite", (store) => asPromise(store.add(clip)));

export const deleteClips = (sampleIds) =>
  withStore("readwrite", (store) => Promise.all(sampleIds.map((id) => asPromise(store.delete(id)))));
