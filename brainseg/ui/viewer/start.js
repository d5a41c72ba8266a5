// The viewer: 8-bit probabilities in, everything the eye needs composed here, without the server.
// Gradio calls this as a function with element, props, trigger and watch.

const root = element.querySelector(".viewer");
const find = (selector) => root.querySelector(selector);
const findAll = (selector) => [...root.querySelectorAll(selector)];
const TRUTH = [86, 180, 233];
const ERRORS = {
  tp: [0, 158, 115], fp: [213, 94, 0], fn: [86, 180, 233], other: [204, 121, 167],
};
const CIVIDIS = [[0, 32, 77], [60, 77, 110], [124, 123, 120], [188, 175, 111], [255, 234, 70]];
const KEPT_SLICES = 24;
const PATIENCE_MS = 30_000; // before slices are asked for again
const name = "viewer-" + Math.random().toString(36).slice(2); // radio buttons need one

let message = null; // the last value from the server
let slices = new Map(); // index -> decoded slice
let index = 0;
let heading = 1; // 1 or -1: which way the visitor goes through the slices
let jumped = null; // the comparison whose first slice was gone to when it was whole
let isAsking = false; // for slices
let decoding = 0; // how many messages are
let late = 0;
let cards = new Map(); // name -> {item, canvas, ...}
let large = null; // the name of the card that is large
let stroke = null;
let isHurried = false;
let resting = 0;
let isEmptied = false; // by a new run, whose message is to come
let told = 0; // how many messages of figures have come
let mine = new Set(); // slices drawn on here: the server's answer may be older than the last stroke
const look = { zoom: 1, x: 0.5, y: 0.5 }; // x, y: the middle of the window, as shares of the slice
const options = { mode: "fill", opacity: 0.45, level: null, colour: [213, 94, 0], truth: true };
