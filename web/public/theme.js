// Runs before the first paint, so that a dark room never sees a white flash. Kept apart from the bundle because
// the content security policy forbids scripts inside the page.
(function () {
  var root = document.documentElement;
  var stored = null;
  var density = null;
  try {
    stored = localStorage.getItem('andon.theme');
    density = localStorage.getItem('andon.density');
  } catch (e) {
    // Storage may be switched off; the system's wish decides then.
  }
  var dark = stored ? stored === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'dark' : 'light';
  root.dataset.density = density || (matchMedia('(pointer: coarse)').matches ? 'touch' : 'normal');
})();
