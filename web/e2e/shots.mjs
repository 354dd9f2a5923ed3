// Pictures of every page for the eye: npm run shots [folder] [filter]

import { mkdir } from 'node:fs/promises';
import { enter, open, start, visit } from './browser.mjs';

const folder = process.argv[2] ?? 'node_modules/.cache/shots';
const filter = process.argv[3] ?? '';
await mkdir(folder, { recursive: true });

const PAGES = {
  overview: '/overview',
  face: '/overview?face=works/nord/bottling/line1/filler/pressure',
  rooms: '/rooms',
  trends: '/trends?pens=works/nord/bottling/line1/filler/pressure,works/nord/bottling/line1/filler/pressure_sp,works/nord/bottling/line1/filler/flow,works/nord/bottling/line2/labeller/glue_temperature',
  compared: `/trends?pens=works/nord/bottling/line1/filler/pressure,works/nord/bottling/line2/labeller/glue_temperature,works/nord/bottling/line1/labeller/state&cmp=1h&a=${Date.now() - 38 * 60_000}&b=${Date.now() - 12 * 60_000}`,
  alarms: '/alarms',
  alarm: '/alarms?alarm=works/nord/utilities/energy/buffer/level:high',
  timeline: '/timeline',
  andon: '/andon',
  plant: '/plant?path=works/nord',
  plantline: '/plant?path=works/nord/bottling/line1',
  kept: '/reports?view=kept',
  keptreport: '/reports?kept=0192f0c0-9000-7000-8000-000000000002',
  energy: '/energy?path=works/nord/bottling',
  report: '/reports?path=works/nord/bottling',
  reportorder: '/reports?kind=order&order=4709',
  maintenance: '/maintenance',
  maintenanceorder: '/maintenance?order=M-4',
  tools: '/maintenance?view=tools',
  tool: '/maintenance?view=tools&tool=M-17',
  wallboard: '/andon?kiosk=1',
  oee: '/oee',
  oeeline: '/oee?path=works/nord/bottling/line1',
  oeewhy: '/oee?path=works/nord/bottling/line2/filler&why=effectiveness',
  orders: '/orders',
  ordertable: '/orders?view=table',
  order: '/orders?order=4709',
  gantt: '/orders?view=gantt&job=o4713-20',
  trace: '/trace',
  traceunit: '/trace?item=0192f0c0-7000-7000-8000-000000000022&parts=now',
  tracelot: '/trace?item=0192f0c0-7000-7000-8000-000000000001',
  tracerecall: '/trace?dir=recall&item=0192f0c0-7000-7000-8000-000000000003',
  stations: '/station',
  station: '/station?path=works/nord/bottling/line1/filler',
  stationheld: '/station?path=works/nord/bottling/line1/labeller',
  stationidle: '/station?path=works/nord/bottling/line2/filler',
  shift: '/shift?path=works/nord/bottling/line1',
  shiftwrite: '/shift?path=works/nord/bottling/line1&write=1',
  handover: '/shift?view=handover&path=works/nord/bottling/line1',
  handoversheet: '/shift?view=handover&handover=68',
  labour: '/shift?view=labour&path=works/nord/bottling/line1&span=2d',
  stock: '/trace?view=stock',
  place: '/trace?place=store/a12',
  vessel: '/trace?vessel=works/nord/bottling/line1/filler',
  container: '/trace?item=0192f0c0-7000-7000-8000-000000000090',
  query: "/query?q=SELECT ts, value, quality FROM samples WHERE path = 'works/nord/bottling/line1/filler/pressure' AND ts >= now() - INTERVAL '1 hour'",
  connectors: '/connectors',
  host: '/connectors?found=floor',
  announced: '/connectors?found=devices&all=1',
  topics: '/broker?topic=plant/line1/filler/pressure',
  mqtttree: '/broker?topic=zigbee2mqtt/kitchen/climate',
  clients: '/broker?tab=clients',
  client: '/broker?tab=clients&client=buffer-valve',
  subscriptions: '/broker?tab=subscriptions',
  rules: '/broker?tab=rules',
  rule: '/broker?tab=rules&rule=labels',
  permissions: '/broker?tab=permissions&as=buffer-valve&wish=publish&about=works/buffer/valve/state',
  try: '/broker?tab=try&filter=plant/%23&to=plant/test',
  storage: '/storage',
  users: '/users',
};
const LOOKS = {
  light: { width: 1280, height: 800 },
  dark: { width: 1280, height: 800, theme: 'dark' },
  phone: { width: 390, height: 844 },
  phonedark: { width: 390, height: 844, theme: 'dark', density: 'touch', touch: true },
  touch: { width: 1280, height: 800, theme: 'dark', density: 'touch', touch: true },
  desk: { width: 1024, height: 768 },
  tablet: { width: 834, height: 1112, density: 'touch', touch: true },
  wide: { width: 1920, height: 1080 },
  wall: { width: 3840, height: 2160, theme: 'dark' },
  young: { width: 1280, height: 800, seed: { 'mock.young': '1' } },
  long: { width: 390, height: 844, seed: { 'mock.long': '1' } },
};

const run = await start();
for (const [look, options] of Object.entries(LOOKS)) {
  if (filter && !Object.keys(PAGES).some((name) => `${name}-${look}`.includes(filter))) continue;
  const { page, faults } = await open(run, options);
  await page.goto(run.url);
  if (!filter) await page.screenshot({ path: `${folder}/login-${look}.png` });
  await enter(run, page);
  for (const [name, path] of Object.entries(PAGES)) {
    if (filter && !`${name}-${look}`.includes(filter)) continue;
    await visit(run, page, path);
    await page.waitForTimeout(2500);
    await page.screenshot({ path: `${folder}/${name}-${look}.png` });
  }
  if (faults.length) console.log(look, faults);
  await page.close();
}
await run.close();
