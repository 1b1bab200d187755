// Ten training steps on a compiled folder, `node train.mjs FOLDER BATCH`; prints the losses as a JSON list.
// BATCH is a JSON file: for each input and target its `type`, `dims` and `data`.
import { readFileSync } from "node:fs";
import { InferenceSession, Tensor } from "onnxruntime-node";

const [folder, batch] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync(`${folder}/manifest.json`));
const file = readFileSync(`${folder}/parameters.safetensors`);
const start = 8 + Number(file.readBigUInt64LE());
const header = JSON.parse(file.subarray(8, start));
const bytes = manifest.parameters.map(({ name }) => file.subarray(...header[name].data_offsets.map((at) => start + at)));
const size = manifest.optimizer_state.reduce((sum, slot) => sum + slot.size, 0);
const session = await InferenceSession.create(`${folder}/step.onnx`);

const feeds = {};
for (const [name, { type, dims, data }] of Object.entries(JSON.parse(readFileSync(batch)))) {
  const array = type === "int64" ? BigInt64Array.from(data, BigInt) : Float32Array.from(data);
  feeds[name] = new Tensor(type, array, dims);
}
feeds.learning_rate = new Tensor("float32", Float32Array.of(manifest.learning_rate), []);
let parameters = new Float32Array(new Uint8Array(Buffer.concat(bytes)).buffer);
let state = new Float32Array(size);
const losses = [];
for (let step = 0; step < 10; step++) {
  feeds.parameters = new Tensor("float32", parameters, [parameters.length]);
  feeds.optimizer_state = new Tensor("float32", state, [size]);
  feeds.seed = new Tensor("int64", BigInt64Array.of(BigInt(step)), []);
  const result = await session.run(feeds);
  ({ data: parameters } = result.new_parameters);
  ({ data: state } = result.new_optimizer_state);
  losses.push(result.loss.data[0]);
}
console.log(JSON.stringify(losses));
