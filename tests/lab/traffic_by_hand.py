"""What SESR-M5 for hardware and FSRCNN move on an Ethos-N78, by the rules of docs/estimate.md."""

# Not by the model. Full HD is 1080 x 1920 pixels, whole cells of 8 x 8. SESR-M5 for hardware has
# 5 x 5 to 16 channels, five of 3 x 3, and 5 x 5 to 4 for x2 and 16 for x4: so many weights, each
# value a byte.
PIXELS = 2_073_600
M5_WEIGHTS = 13_520 + 6 * 16 + 4
M5_X4_WEIGHTS = 18_320 + 7 * 16
# Bytes a pixel where nothing stays on chip and 16 channels take 8. First: 1 read, 8 written. Five
# bodies of 8 and 8. The sum of first and last of them: 8 and 8, 8 written. Last: 8 and 4. The
# depth-to-space: 4 and 4.
M5_BYTES = 9 + 5 * 16 + 24 + 12 + 8
# 8 and 8, then 8 into 4 channels of four times the pixels, 16 of them, and those into 16.
M5_X4_BYTES = 9 + 5 * 16 + 24 + 16 + (8 + 16) + (16 + 16)
# 56 channels take 28, 12 take 12: extract, shrink, four maps, expand, upscale to 4 HR pixels.
FSRCNN_BYTES = (1 + 28) + (28 + 12) + 4 * (12 + 12) + (12 + 28) + (28 + 4)
FSRCNN_WEIGHTS = (56 * 26) + (12 * 57) + 4 * (12 * 109) + (56 * 13) + (56 * 81 + 1)
# The tile of 300 x 400, in cells 304 x 400. 8 rows of 16 channels are 51,200 bytes. The five bodies
# hold 4 of what comes in, 3 of each of four passed on and 2 that go out: 18, 921,600 bytes with
# 11,600 of weights beside, of 1,048,576. The sum would make them 21. So it reads two features, and
# is passed on to the last convolution, and that to the depth-to-space.
TILE_BYTES = 304 * 400 * (9 + (8 + 8) + (8 + 8)) + 600 * 800
