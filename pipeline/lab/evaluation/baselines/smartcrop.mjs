// Places crops with the npm package smartcrop, found in the working folder or through NODE_PATH.
//
// stdin:  one line {"width", "height", "rgba": base64, "sizes": [[width, height], …]}, or nothing
// stdout: one line [[x, y], …], the upper left corner of the best crop of each size, in pixels

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const smartcrop = createRequire(`${process.cwd()}/`)("smartcrop");
const request = readFileSync(0, "utf8");
if (request) {
  const { width, height, rgba, sizes } = JSON.parse(request);
  const image = { width, height, data: new Uint8ClampedArray(Buffer.from(rgba, "base64")) };
  const imageOperations = { open: async () => image, getData: async () => image };
  const places = [];
  for (const [cropWidth, cropHeight] of sizes) {
    const options = { cropWidth, cropHeight, imageOperations };
    const { topCrop } = await smartcrop.crop(image, options);
    places.push([topCrop.x, topCrop.y]);
  }
  console.log(JSON.stringify(places));
}
