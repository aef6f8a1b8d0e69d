// The images of a prompt: small copies that were encoded with the page, and one of them enlarged.

let thumbnails = null;

// Opened with the first group that has images.
async function loadImages(group) {
  if (group.images?.length && !thumbnails) thumbnails = byId("thumbnails") ? JSON.parse(await inflate("thumbnails")) : {};
}

function imagesView(group) {
  const digests = group.images ?? [];
  const views = digests.map((digest, i) => {
    const name = digests.length > 1 ? `Image ${i + 1} of ${digests.length}` : "The prompt's image";
    if (!Object.hasOwn(thumbnails ?? {}, digest)) return element("span", { className: "no-picture quiet" }, `${name} (${digest}) is not in this page`);
    const [url, width, height] = thumbnails[digest];
    const button = element("button", { type: "button", className: "picture", title: "Enlarge" }, pictureOf(url, width, height, name));
    button.addEventListener("click", () => enlarge(url, width, height, name));
    return button;
  });
  return views.length ? [element("div", { className: "pictures" }, ...views)] : [];
}

// A picture of few pixels is drawn with them as squares.
function pictureOf(url, width, height, name) {
  return element("img", { src: url, alt: `${name}, ${width} by ${height} pixels here`, width, height, className: Math.max(width, height) < 96 ? "few-pixels" : "" });
}

function enlarge(url, width, height, name) {
  const close = element("button", { type: "button" }, "Close");
  const dialog = element("dialog", { className: "enlarged", "aria-label": name }, pictureOf(url, width, height, name), close);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
}
