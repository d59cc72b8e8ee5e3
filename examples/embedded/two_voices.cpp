// The network in C++, from one header: a class for a sequence, and two sequences at once.
//   rnnspec build ../audio/amplifier.yaml --backend c --form step --single-header -o build/amplifier.h
//   g++ -std=c++11 -O3 -I build two_voices.cpp -o build/two_voices
#define AMPLIFIER_IMPLEMENTATION // in one file of a program
#include "amplifier.h"

#include <cstdio>

class Amplifier {
  public:
    Amplifier() { reset(); }

    void reset() { amplifier_reset(&state_); }

    float operator()(float sample) {
        float y = 0.0f;
        amplifier_step(&state_, &sample, &y);
        return y;
    }

  private:
    amplifier_state state_;
};

int main() {
    Amplifier left, right;
    for (int i = 0; i < 4; ++i) {
        const float one = left(0.25f);
        const float other = right(-0.25f);
        std::printf("%.7f %.7f\n", static_cast<double>(one), static_cast<double>(other));
    }
    return 0;
}
