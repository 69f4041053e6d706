// Light or dark: the host's choice, the page's data-theme, JupyterLab's theme, then the system's.

const system = matchMedia("(prefers-color-scheme: dark)");

export class Theme {
  constructor(host, changed) {
    this.host = host;
    this.chosen = "auto";
    this.apply = () => changed(this.dark());
    this.watch = new MutationObserver(this.apply);
    const seen = {attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light"]};
    for (const node of [document.documentElement, document.body]) if (node) this.watch.observe(node, seen);
    system.addEventListener("change", this.apply);
  }

  dark() {
    if (this.chosen !== "auto") return this.chosen === "dark";
    const named = this.host.closest("[data-theme=light], [data-theme=dark]");
    if (named) return named.dataset.theme === "dark";
    const lab = this.host.closest("[data-jp-theme-light]") || document.querySelector("body[data-jp-theme-light]");
    if (lab) return lab.dataset.jpThemeLight === "false";
    return system.matches;
  }

  next() {
    this.chosen = {auto: "light", light: "dark", dark: "auto"}[this.chosen];
    this.apply();
    return this.chosen;
  }

  stop() {
    this.watch.disconnect();
    system.removeEventListener("change", this.apply);
  }
}
