// SPDX-License-Identifier: Apache-2.0
/*
 * What the panel needs of its page, and widgets do not give: it tells what is chosen in the plotly
 * figures around this widget (a bar, a dot, a range of time), names what would have no name where
 * pages are read aloud, and keeps its keys from the notebook. The figures are plain ones, drawn by whatever the page draws plotly
 * with, so this listens to the events that plotly sends from their elements.
 */

// What was clicked on: the process of its row.
function clicked(plot, event) {
  const { form, keys } = plot.layout.meta ?? {};
  const key = keys?.[event.points?.[0]?.y];
  return key > 0 ? { form, key } : null;
}

// Which range was zoomed to, in seconds; null for all there is.
function zoomed(plot, event) {
  const { form, scale } = plot.layout.meta ?? {};
  if (form !== "dots" && form !== "cells") {
    return null;
  }
  if (event["xaxis.autorange"]) {
    return { form, since: null, until: null };
  }
  const [low, high] = [event["xaxis.range[0]"], event["xaxis.range[1]"]];
  return low === undefined ? null : { form, since: low / scale, until: high / scale };
}

function listen(plot, model) {
  const tell = (chosen) => {
    if (chosen) {
      // The same choice twice is two choices.
      model.set("chosen", { ...chosen, number: (model.get("chosen").number ?? 0) + 1 });
      model.save_changes();
    }
  };
  plot.on("plotly_click", (event) => tell(clicked(plot, event)));
  plot.on("plotly_relayout", (event) => tell(zoomed(plot, event)));
}

function named(element, name, role) {
  if (element && element.getAttribute("aria-label") !== name) {
    element.setAttribute("aria-label", name);
    if (role) {
      element.setAttribute("role", role);
    }
  }
}

// Figures, and the two ends of the range of time.
function nameAll(panel) {
  for (const plot of panel.querySelectorAll(".js-plotly-plot")) {
    named(plot, plot.layout?.meta?.words ?? "figure", "figure");
  }
  named(panel.querySelector(".noUi-handle-lower"), "time from, in seconds");
  named(panel.querySelector(".noUi-handle-upper"), "time to, in seconds");
  named(panel.querySelector(".widget-readout"), "time in seconds, from and to", "textbox");
}

// Keys pressed in the panel are the panel's: a "d" there must not delete the cell.
function keepKey(panel, event) {
  if (panel?.contains(event.target)) {
    const plain = !(event.ctrlKey || event.metaKey || event.altKey);
    event.target.toggleAttribute("data-lm-suppress-shortcuts", plain);
  }
}

export default {
  render({ model, el, signal }) {
    const known = new WeakSet();
    const look = () => {
      const panel = el.closest(".skbnb-panel");
      if (!panel) {
        return;
      }
      for (const plot of panel.querySelectorAll(".js-plotly-plot")) {
        if (!known.has(plot) && plot.on && plot.layout) {
          known.add(plot);
          listen(plot, model);
        }
      }
      nameAll(panel);
    };
    // Figures come and go as the panel is used. Looking is cheap.
    const timer = setInterval(look, 200);
    const keep = (event) => keepKey(el.closest(".skbnb-panel"), event);
    // Before JupyterLab sees it, which listens to the document.
    window.addEventListener("keydown", keep, true);
    const stop = () => {
      clearInterval(timer);
      window.removeEventListener("keydown", keep, true);
    };
    signal?.addEventListener("abort", stop);
    return stop;
  },
};
