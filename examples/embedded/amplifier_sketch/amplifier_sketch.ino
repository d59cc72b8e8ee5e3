// A step of the network for each reading of a sensor. Put amplifier.h and amplifier.c beside this
// file: rnnspec build amplifier.yaml --backend c --form step --target cortex-m -o amplifier_sketch
#include "amplifier.h"

static amplifier_state state;

void setup() {
    float y[AMPLIFIER_OUTPUTS];
    Serial.begin(115200);
    const float difference = amplifier_self_test(&state, y);
    Serial.println(difference < 1e-6f ? "self-test: equal" : "self-test: differs");
    amplifier_reset(&state);
}

void loop() {
    const float x[AMPLIFIER_FEATURES] = {static_cast<float>(analogRead(A0)) / 512.0f - 1.0f};
    float y[AMPLIFIER_OUTPUTS];
    const unsigned long start = micros();
    amplifier_step(&state, x, y);
    const unsigned long end = micros();
    Serial.print(y[0], 6);
    Serial.print(" after us: ");
    Serial.println(end - start);
    delay(10);
}
