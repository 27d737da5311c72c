// The examples: a portrait in the public domain, and faces that src/face_parsing/synthetic drew (examples/draw.py).

import portrait from "../../docs/images/astronaut.jpg?url";
import portraitSmall from "../examples/astronaut_small.jpg?url";
import blond from "../examples/blond.jpg?url";
import blondSmall from "../examples/blond_small.jpg?url";
import glasses from "../examples/glasses.jpg?url";
import glassesSmall from "../examples/glasses_small.jpg?url";
import necklace from "../examples/necklace.jpg?url";
import necklaceSmall from "../examples/necklace_small.jpg?url";
import three from "../examples/three.jpg?url";
import threeSmall from "../examples/three_small.jpg?url";

export const EXAMPLES = [
  { name: "astronaut.jpg", words: "The astronaut Eileen Collins", url: portrait, thumbnail: portraitSmall },
  { name: "blond.jpg", words: "A drawn face with blond hair", url: blond, thumbnail: blondSmall },
  { name: "glasses.jpg", words: "A drawn face with glasses", url: glasses, thumbnail: glassesSmall },
  { name: "necklace.jpg", words: "A drawn face with a necklace", url: necklace, thumbnail: necklaceSmall },
  { name: "three.jpg", words: "Three drawn faces", url: three, thumbnail: threeSmall },
];
