/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: true },
          keepClassNames: true,
        },
        module: { type: 'es6' },
      },
    ],
  },
  moduleNameMapper: {
    '^@scpxl/nestjs-websocket$': '<rootDir>/lib/index.ts',
    '^@scpxl/nestjs-websocket/client$': '<rootDir>/lib/client/browser.ts',
    '^(\\.{1,2}/.*)\\.js$': '$1',
  },
  globalSetup: '<rootDir>/test/support/compile.mjs',
  testSequencer: '<rootDir>/test/support/slow-first.sequencer.js',
  reporters: ['default', '<rootDir>/test/support/closing-line.reporter.js'],
  // Only a test that hangs takes so long: what a test waits for has a limit of its own, see test/support/until.ts.
  testTimeout: 120_000,
  // More than a CI machine has cores: many tests wait for times of the product's own, such as a lease.
  maxWorkers: 5,
};
