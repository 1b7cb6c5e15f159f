// What both workers do with messages: answer each, with its id.

/** @param {Record<string, (message: object) => any>} tasks name -> what answers the messages that have this field */
export function answerMessages(tasks) {
  self.onmessage = async ({ data }) => {
    const { id } = data;
    try {
      const name = Object.keys(tasks).find((task) => task in data);
      self.postMessage({ id, result: await tasks[name](data[name]) });
    } catch (error) {
      self.postMessage({ id, error: error?.message ?? String(error) });
    }
  };
}

/** Nothing in this worker has to reach anybody any more; MediaPipe would report its use to its maker. */
export function cutOff() {
  const refuse = () => Promise.reject(new TypeError("this page sends nothing"));
  Object.assign(self, { fetch: refuse, XMLHttpRequest: undefined, WebSocket: undefined });
}
