// The peer: smartcrop.js with sharp, six shapes as WebP, one process. Nothing is written.
//
//     node smartcrop_peer.mjs PHOTO...
//
// In a folder with node_modules/smartcrop and node_modules/sharp; NODE_MODULES names another one.
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(path.join(process.env.NODE_MODULES ?? process.cwd(), 'x.js'));
const smartcrop = require('smartcrop');
const sharp = require('sharp');
sharp.concurrency(1);
sharp.cache(false);

const THUMBNAIL = 512;
const RATIOS = [1, 4 / 3, 16 / 9, 9 / 16, 3 / 4, 1]; // the last is the circle's square

const imageOperations = {
  open: async (image) => image,
  resample: async (image, width, height) => ({ ...image, width: ~~width, height: ~~height }),
  getData: async ({ pixels, whole, width, height }) => {
    const data = await sharp(pixels, { raw: whole }).resize(width, height, { fit: 'fill' })
      .ensureAlpha().raw().toBuffer();
    return new smartcrop.ImgData(width, height, data);
  },
};

for (const file of process.argv.slice(2)) {
  const scale = await shrink(file);
  const { data: pixels, info } = await sharp(file).rotate().resize(...scale).raw()
    .toBuffer({ resolveWithObject: true });
  const whole = { width: info.width, height: info.height, channels: info.channels };
  const image = { pixels, whole, width: info.width, height: info.height };
  for (const ratio of RATIOS) {
    const width = Math.round(Math.min(THUMBNAIL, THUMBNAIL * ratio));
    const height = Math.round(width / ratio);
    const { topCrop } = await smartcrop.crop(image, { width, height, imageOperations });
    await sharp(pixels, { raw: whole })
      .extract({ left: topCrop.x, top: topCrop.y, width: topCrop.width, height: topCrop.height })
      .resize(width, height).webp({ quality: 80, effort: 2 }).toBuffer();
  }
}

// JPEG is decoded at a scale, as the line does: its longer side keeps two thumbnails.
async function shrink(file) {
  const { width, height } = await sharp(file).metadata();
  const scale = Math.min(1, (2 * THUMBNAIL) / Math.max(width, height));
  return [Math.round(width * scale), null];
}
