/* A convolution and a GRU in both directions: one call for each whole sequence. */
#include "board.h"
#include "gesture.h"

static float x[GESTURE_MAX_STEPS * GESTURE_FEATURES];
static float workspace[GESTURE_WORKSPACE];

int main(void) {
    float y[GESTURE_OUTPUTS];
    const float difference = gesture_self_test(y, workspace);

    board_start();
    gesture_run(x, GESTURE_MAX_STEPS, y, workspace);
    const uint32_t instructions = board_stop();
    board_report(difference, instructions, sizeof workspace);
    return difference < 1e-6f ? 0 : 1;
}
