"use strict";
// Search in pages that are opened from a folder. Such a page may start no worker, so a hidden frame
// stands for the search's: it runs the worker's script, and messages are handed both ways.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.unsent = [];
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.documentElement.append(frame);
      const inside = frame.contentWindow;
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      const script = inside.document.createElement("script");
      script.src = new URL(address, location.href);
      script.onload = () => {
        this.inside = inside;
        for (const data of this.unsent.splice(0)) this.postMessage(data);
      };
      inside.document.head.append(script);
    }

    postMessage(data) {
      if (!this.inside) this.unsent.push(data);
      else this.inside.dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
