// Calls the URL until a call took a retry. got retries by itself.
import got from 'got';

try {
  let retries = 0;
  for (let call = 1; retries === 0; call++) {
    if (call > 10) throw new Error('the server refused none of 10 calls');
    retries = (await got(process.argv[2])).retryCount; // throws unless it ends in success
  }
} catch (error) {
  console.error(`got: ${error.message}`); // all of it would fill screens
  process.exitCode = 1;
}
