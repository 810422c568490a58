// The discrete cosine transform of real 8x8 images, and back: Y = D X D^T and X' = D^T Y D, each a
// batch of products with one matrix for all images.
// usage: dct_images [FOLDER with digits.npy and dct8.npy]
// Output: transform and back is [0-9.]+e-0[4-9].*16 lowest frequencies: 80.9 %
#include <procyon/linalg.hpp>
#include <procyon/procyon.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

using procyon::Array;
using procyon::MatrixBatch;
using procyon::Op;

int main(int argc, char** argv) {
  procyon::init(argc, argv);
  const std::filesystem::path folder = argc > 1 ? argv[1] : PROCYON_EXAMPLE_DATA;
  // Mapped, not read: the workers see the files at the same addresses.
  const auto images = procyon::load_npy<const float>(folder / "digits.npy");
  const auto dct = procyon::load_npy<const float>(folder / "dct8.npy");
  const std::size_t count = images.shape.at(0);

  Array<float> half(images.data.size());
  Array<float> spectrum(images.data.size());
  Array<float> back(images.data.size());
  const auto batch = [count](auto* data) {
    return MatrixBatch<std::remove_pointer_t<decltype(data)>>{data, count, 8, 8};
  };
  const MatrixBatch<const float> d{
      .data = dct.data.data(), .count = 1, .rows = 8, .cols = 8, .stride = 0};

  procyon::Pool pool;
  gemm_batch(pool, {}, d, batch(images.data.data()), batch(half.data()));
  gemm_batch(pool, {.op_b = Op::transpose}, batch(half.data()), d, batch(spectrum.data()));
  gemm_batch(pool, {.op_a = Op::transpose}, d, batch(spectrum.data()), batch(half.data()));
  gemm_batch(pool, {}, batch(half.data()), d, batch(back.data()));

  float error = 0;
  double energy = 0;
  double low = 0;
  for (std::size_t i = 0; i < back.size(); ++i) {
    error = std::max(error, std::abs(back[i] - images.data[i]));
    const double power = static_cast<double>(spectrum[i]) * spectrum[i];
    energy += power;
    if (i / 8 % 8 < 4 && i % 8 < 4) low += power;
  }
  std::printf("%zu images of 8x8: the largest error after transform and back is %.1e\n", count,
              static_cast<double>(error));
  std::printf("energy in the 16 lowest frequencies: %.1f %%\n", 100 * low / energy);
}
