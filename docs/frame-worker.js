// Browsers load no worker from a file, so a site that is opened from disk searches in a hidden frame.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.srcdoc = `<script>
        self.deliver = self.postMessage.bind(self);
        self.postMessage = (data) => parent.postMessage(data, "*");
      </script><script src="${new URL(url, location)}"></script>`;
      this.loaded = new Promise((done) => { frame.onload = () => done(frame.contentWindow); });
      addEventListener("message", (event) => {
        if (event.source !== frame.contentWindow) return;
        this.dispatchEvent(new MessageEvent("message", { data: event.data }));
      });
      this.addEventListener("message", (event) => this.onmessage?.(event));
      this.terminate = () => frame.remove();
      document.body.append(frame);
    }

    postMessage(data) {
      this.loaded.then((inside) => inside.deliver(data, "*"));
    }
  };
}
