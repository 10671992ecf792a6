// Have V8 compile WebAssembly once, by its quick compiler, while a program lives for a moment only.
//
// Node's fetch reads HTTP by a module in WebAssembly. V8 compiles its hot parts a second time, with its optimizing
// compiler, and that takes longer than all requests of a short history. The option is set during the call alone: what
// Node has compiled in advance is made for the usual options, and would be of no use with others.
"use strict";

const { setFlagsFromString } = require("v8");
const { compile } = WebAssembly;

Object.defineProperty(WebAssembly, "compile", {
  ...Object.getOwnPropertyDescriptor(WebAssembly, "compile"),
  value: {
    compile(bytes, ...rest) {
      setFlagsFromString("--liftoff-only");
      try {
        return Reflect.apply(compile, this, [bytes, ...rest]);
      } finally {
        setFlagsFromString("--no-liftoff-only");
      }
    },
  }.compile,
});
