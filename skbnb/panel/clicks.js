// SPDX-License-Identifier: Apache-2.0
/*
 * Tells the panel what is chosen in the plotly figures around this widget: a bar, a dot, a range
 * of time. The figures are plain ones, drawn by whatever the page draws plotly with, so this
 * listens to the events that plotly sends from their elements.
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

export default {
  render({ model, el, signal }) {
    const known = new WeakSet();
    const look = () => {
      for (const plot of el.closest(".skbnb-panel")?.querySelectorAll(".js-plotly-plot") ?? []) {
        if (!known.has(plot) && plot.on && plot.layout) {
          known.add(plot);
          listen(plot, model);
        }
      }
    };
    // Figures come and go as the panel is used. Looking is cheap.
    const timer = setInterval(look, 200);
    const stop = () => clearInterval(timer);
    signal?.addEventListener("abort", stop);
    return stop;
  },
};
