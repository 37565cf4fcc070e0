// `npm run build`: everything that `npm start` builds, without starting anything.
import { main, setup } from './setup.mjs';

await main(async () => {
  await setup('run');
  return 0;
});
