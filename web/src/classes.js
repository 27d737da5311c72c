// The 19 classes in plain words. Left and right are the person's own. A test compares names and palette with Python's.

export const CLASSES = [
  ["background", "Background", [0, 0, 0]],
  ["skin", "Skin", [204, 0, 0]],
  ["nose", "Nose", [76, 153, 0]],
  ["eye_g", "Glasses", [204, 204, 0]],
  ["l_eye", "Left eye", [51, 51, 255]],
  ["r_eye", "Right eye", [204, 0, 204]],
  ["l_brow", "Left brow", [0, 255, 255]],
  ["r_brow", "Right brow", [255, 204, 204]],
  ["l_ear", "Left ear", [102, 51, 0]],
  ["r_ear", "Right ear", [255, 0, 0]],
  ["mouth", "Mouth, inside", [102, 204, 0]],
  ["u_lip", "Upper lip", [255, 255, 0]],
  ["l_lip", "Lower lip", [0, 0, 153]],
  ["hair", "Hair", [0, 0, 204]],
  ["hat", "Hat", [255, 51, 153]],
  ["ear_r", "Earring", [0, 204, 204]],
  ["neck_l", "Necklace", [0, 51, 0]],
  ["neck", "Neck", [255, 153, 51]],
  ["cloth", "Clothes", [0, 204, 0]],
].map(([name, words, color], id) => ({ id, name, words, color }));

const idsOf = (...names) => names.map((name) => CLASSES.find((one) => one.name === name).id);

/** What can be colored: the ids of each. */
export const TINTED = { hair: idsOf("hair"), lips: idsOf("u_lip", "l_lip") };
